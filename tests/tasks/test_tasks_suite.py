from nas.testing.tasks import TaskSuite


class TestTasks(TaskSuite):
    pass
